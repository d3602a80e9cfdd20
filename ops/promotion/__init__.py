"""Promotion by digest: what one stack proved is what the next one gets; and the way back."""
