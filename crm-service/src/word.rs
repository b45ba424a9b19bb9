//! States as text: an enum of the words this release knows and an arm for the words of a later one, which are passed
//! on untouched. A closed enum would answer 500 for a row that a newer release wrote.

/// Makes such an enum: `words!(/// docs Name { Variant = "word", … })`.
macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$inner:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum $name {
            $($(#[$inner])* $variant,)+
            /// A word of a later release.
            Other(String),
        }

        impl $name {
            /// The word in the database and in JSON.
            pub fn as_str(&self) -> &str {
                match self {
                    $($name::$variant => $word,)+
                    $name::Other(word) => word,
                }
            }
        }

        impl From<String> for $name {
            fn from(word: String) -> Self {
                match word.as_str() {
                    $($word => $name::$variant,)+
                    _ => $name::Other(word),
                }
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }
    };
}

pub(crate) use words;

#[cfg(test)]
mod tests {
    words!(
        /// A light.
        Light { Red = "red", Green = "green" }
    );

    #[test]
    fn a_word_of_a_later_release_is_passed_on_untouched() {
        assert_eq!(Light::from("red".to_owned()), Light::Red);
        let later = Light::from("amber".to_owned());
        assert_eq!(serde_json::to_value(&later).unwrap(), "amber");
        assert_eq!(Light::Green.as_str(), "green");
    }
}
