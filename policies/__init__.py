"""The policy pack: rules over what a stack is made of, and the process that asks them."""
