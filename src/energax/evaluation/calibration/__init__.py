"""Whether probabilities of classes mean what they say, and how they are made to."""
