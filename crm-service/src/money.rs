//! Amounts of money: exact decimals with four places, strings in JSON. Never a float.

use rust_decimal::Decimal;
use serde::{Serialize, Serializer};

/// Digits after the point, as in the database's `numeric(18,4)`.
pub const PLACES: u32 = 4;

/// An amount in some currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::Type)]
#[sqlx(transparent)]
pub struct Money(pub Decimal);

impl Serialize for Money {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut amount = self.0;
        amount.rescale(PLACES);
        serializer.collect_str(&amount)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_always_shows_four_places() {
        for (amount, shown) in [(Decimal::ZERO, "0.0000"), (Decimal::new(15, 1), "1.5000")] {
            assert_eq!(serde_json::to_value(Money(amount)).unwrap(), shown);
        }
    }
}
