//! One replica on one engine, effects in order.
