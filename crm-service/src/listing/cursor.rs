//! Cursors: where the next page starts, opaque to callers. A later release must accept the cursors of this one, so the
//! format carries a number.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// The one format there is.
const FORMAT: u8 = 1;

/// The last row of a page, and the list it belongs to.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    #[serde(rename = "f")]
    format: u8,
    #[serde(rename = "h")]
    list: String,
    /// Sort key of the last row, as its JSON field shows it.
    #[serde(rename = "k")]
    pub key: String,
    /// Id of the last row.
    #[serde(rename = "i")]
    pub id: Uuid,
}

/// A short hash over everything that decides the order and the content of a list.
pub fn fingerprint<'a>(parts: impl IntoIterator<Item = &'a str>) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    URL_SAFE_NO_PAD.encode(&hash.finalize()[..9])
}

/// The cursor after a row.
pub fn encode(list: &str, key: String, id: Uuid) -> String {
    let cursor = Cursor {
        format: FORMAT,
        list: list.to_owned(),
        key,
        id,
    };
    URL_SAFE_NO_PAD
        .encode(serde_json::to_vec(&cursor).expect("a cursor has only strings and numbers"))
}

/// Reads a cursor of this list; `None` for anything else.
pub fn decode(list: &str, text: &str) -> Option<Cursor> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    let cursor: Cursor = serde_json::from_slice(&bytes).ok()?;
    (cursor.format == FORMAT && cursor.list == list).then_some(cursor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_of_another_list_is_refused() {
        let text = encode("list-a", "key".into(), Uuid::nil());
        assert_eq!(decode("list-a", &text).unwrap().key, "key");
        assert_eq!(decode("list-b", &text), None);
        assert_eq!(decode("list-a", "bm9uc2Vuc2U"), None);
    }

    #[test]
    fn the_fingerprint_is_the_same_in_every_release() {
        assert_eq!(
            fingerprint(["-created_at", "kind=customer"]),
            fingerprint(["-created_at", "kind=customer"])
        );
        assert_ne!(fingerprint(["ab", "c"]), fingerprint(["a", "bc"]));
        assert_eq!(fingerprint(["accounts", "created_at"]), "9U5sxfIMDZgh");
    }
}
