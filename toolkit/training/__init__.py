"""Training one stage: configuration, losses, schedule, epochs, the run folder, selection."""
