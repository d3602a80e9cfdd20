"""What operators do with the database's credential: prove it, repair it, rotate it, hand it to RDS."""
