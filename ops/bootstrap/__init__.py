"""What has to be there before the first deployment: state, its key, the trust in GitHub, the roles."""
