"""How long a database's backups are kept at least: plain data, for the declaration and for the policy pack."""

#: Days. What was overwritten by mistake is found out days later.
BACKUP_DAYS = 7
