-- The read model on SQLite, version 3. Each page of a list is one range of an index.
-- orders_of_user gets the status, so that a page of one user's orders with a status is read from the index alone.
DROP INDEX orders_of_user;
CREATE INDEX orders_of_user ON orders (user_id, placed_at DESC, order_id DESC, status);
CREATE INDEX orders_placed ON orders (placed_at DESC, order_id DESC);
CREATE INDEX orders_of_status ON orders (status, placed_at DESC, order_id DESC);
