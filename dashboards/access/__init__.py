"""Who may do what: people, passwords, sessions, permissions."""
