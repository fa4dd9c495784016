package hub

// HeldBytes is what a publication takes in an inbox besides its size.
const HeldBytes = heldBytes
