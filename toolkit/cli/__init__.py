"""Parts that every command shares: the console script, options, progress bars and tables."""
