//! Amounts of money: exact decimals with four places, strings in JSON. Never a float.

use std::str::FromStr;

use rust_decimal::Decimal;
use serde::{Serialize, Serializer};

/// Digits after the point, as in the database's `numeric(18,4)`.
pub const PLACES: u32 = 4;

/// What an amount must look like, in words.
pub const EXPECTED: &str = "must be a decimal in a string such as \"1250.50\": 0 or more, with at most 14 digits before and 4 after the point";

/// An amount in some currency.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, sqlx::Type)]
#[sqlx(transparent)]
pub struct Money(pub Decimal);

impl Serialize for Money {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut amount = self.0;
        amount.rescale(PLACES);
        serializer.collect_str(&amount)
    }
}

/// The text is no amount that the database can hold exactly.
#[derive(Debug)]
pub struct Inexact;

impl FromStr for Money {
    type Err = Inexact;

    /// Judges the digits as they were sent: a parser of decimals rounds what is too long for it.
    fn from_str(text: &str) -> Result<Self, Inexact> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        let digits =
            |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        let (whole_digits, places) = (
            whole.trim_start_matches('0'),
            fraction.trim_end_matches('0'),
        );
        if !(digits(whole)
            && digits(fraction)
            && whole_digits.len() <= 14
            && places.len() <= PLACES as usize)
        {
            return Err(Inexact);
        }
        format!("0{whole_digits}.{places}0")
            .parse()
            .map(Money)
            .map_err(|_| Inexact)
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

    #[test]
    fn an_amount_is_exact_or_refused() {
        for (text, kept) in [
            ("0", "0.0000"),
            ("99999999999999.9999", "99999999999999.9999"),
            ("1.50000", "1.5000"),
            ("007", "7.0000"),
        ] {
            assert_eq!(
                serde_json::to_value(text.parse::<Money>().unwrap()).unwrap(),
                kept
            );
        }
        let long = format!("1.{}", "0".repeat(40));
        assert_eq!(long.parse::<Money>().unwrap(), Money(Decimal::ONE));
        for text in [
            "100000000000000",
            "0.00001",
            "-1",
            "1e3",
            "1_000",
            ".5",
            "5.",
            "0.00000000000000000000000000000000001",
            "NaN",
            "",
        ] {
            assert!(text.parse::<Money>().is_err(), "{text}");
        }
    }
}
