-- The read model on SQLite, version 3: lists are read in pages, each of which is one range of an index.
-- orders_of_user gets the status, so that a page of one user's orders of a status is found in the index alone.
DROP INDEX orders_of_user;
CREATE INDEX orders_of_user ON orders (user_id, placed_at DESC, order_id DESC, status);
CREATE INDEX orders_placed ON orders (placed_at DESC, order_id DESC);
CREATE INDEX orders_of_status ON orders (status, placed_at DESC, order_id DESC);
