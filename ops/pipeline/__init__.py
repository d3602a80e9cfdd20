"""What the workflows run: one command a step, each with an exit status that means one thing."""
