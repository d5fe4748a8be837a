"""Values and rules of orders: pure functions, no IO. The state machine is the table in `states`."""
