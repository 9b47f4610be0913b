"""Who may do what: organisations, projects, accounts, API keys and one table of permissions."""
