"""Orders: placement, the state machine, payment and history. It alone decides what happens next to an order."""
