-- The sandbox provider's own books; nobody else reads them.

-- name: open_payment
-- Notes a payment that is asked for, unless it is known already.
INSERT INTO sandbox_payment (payment_id, card, state, amount_minor, currency_code, decline_code,
                             capture_failures_left)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (payment_id) DO NOTHING;

-- name: read_payment
-- One payment.
SELECT state, decline_code FROM sandbox_payment WHERE payment_id = $1;

-- name: promise_notification
-- An answer to be given $4 seconds after $3 (or after now, where $3 is NULL), $5 times.
INSERT INTO sandbox_notification (notification_id, payment_id, outcome, decline_code, due_time, deliveries_left)
VALUES ('sandbox-' || $1::uuid, $1, $2, $6, coalesce($3::timestamptz, now()) + make_interval(secs => $4), $5)
ON CONFLICT (notification_id) DO NOTHING;

-- name: fail_capture
-- Uses up one of the failures that the card foresees.
UPDATE sandbox_payment SET capture_failures_left = capture_failures_left - 1
WHERE payment_id = $1 AND state = 'AUTHORISED' AND capture_failures_left > 0 RETURNING payment_id;

-- name: decline_capture
-- Refuses for good to collect, where the card is one of $2, with its code in $3.
UPDATE sandbox_payment AS p SET state = 'CAPTURE_DECLINED', decline_code = c.code
FROM unnest($2::text[], $3::text[]) AS c (card, code)
WHERE p.payment_id = $1 AND p.state = 'AUTHORISED' AND p.card = c.card;

-- name: capture_payment
-- Collects an authorised amount.
UPDATE sandbox_payment SET state = 'CAPTURED' WHERE payment_id = $1 AND state = 'AUTHORISED';

-- name: refund_payment
-- Gives back, releases, or refuses for good what has never been seen.
INSERT INTO sandbox_payment AS p (payment_id, card, state, amount_minor, currency_code)
VALUES ($1, '', 'REFUNDED', 0, 'XXX')
ON CONFLICT (payment_id) DO UPDATE SET state = 'REFUNDED' WHERE p.state <> 'DECLINED';

-- name: claim_notifications
-- Answers that are due, each given to one worker for $2 seconds; a dead worker's fall due again.
WITH due AS (
    SELECT notification_id FROM sandbox_notification WHERE due_time <= now()
    ORDER BY due_time LIMIT $1 FOR UPDATE SKIP LOCKED
)
UPDATE sandbox_notification AS n SET due_time = now() + make_interval(secs => $2)
FROM due WHERE n.notification_id = due.notification_id
RETURNING n.notification_id, n.payment_id, n.outcome, n.decline_code, n.deliveries_left;

-- name: decide_payment
-- The outcome becomes the truth at the provider when its answer is first given.
UPDATE sandbox_payment SET state = $2, decline_code = $3 WHERE payment_id = $1 AND state = 'PENDING';

-- name: delivered
-- One delivery less to make; the next one follows half a second later.
UPDATE sandbox_notification
SET deliveries_left = deliveries_left - 1, due_time = now() + make_interval(secs => 0.5)
WHERE notification_id = $1;

-- name: forget_delivered
-- Removes an answer that was given as often as promised.
DELETE FROM sandbox_notification WHERE notification_id = $1 AND deliveries_left <= 0;
