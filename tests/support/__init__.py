"""What several test modules share: commands, pictures, a browser, small data and models."""
