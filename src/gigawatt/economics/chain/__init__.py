"""From photons or gas to tokens and dollars, with the loss at every stage."""
