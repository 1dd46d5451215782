//! The elements of a tensor in JSON: numbers or texts in lists, nested as the shape says or not at all.

use std::fmt::{self, Formatter};

use serde::de::{DeserializeSeed, Deserializer, Error, SeqAccess, Visitor};

/// Elements, row-major.
#[derive(Debug, PartialEq)]
pub enum Elements {
    /// Numbers.
    Numbers(Vec<f32>),
    /// Texts.
    Texts(Vec<String>),
}

impl<'de> serde::Deserialize<'de> for Elements {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut elements = Self::Numbers(Vec::new());
        Nested(&mut elements).deserialize(deserializer)?;
        Ok(elements)
    }
}

/// Where the elements of a list, and of the lists in it, go.
struct Nested<'e>(&'e mut Elements);

impl Nested<'_> {
    fn number<E: Error>(self, number: f32) -> Result<(), E> {
        let Elements::Numbers(numbers) = self.0 else {
            return Err(E::custom("numbers and texts in one tensor"));
        };
        numbers.push(number);
        Ok(())
    }

    fn text<E: Error>(self, text: String) -> Result<(), E> {
        match self.0 {
            Elements::Texts(texts) => texts.push(text),
            Elements::Numbers(numbers) if numbers.is_empty() => *self.0 = Elements::Texts(vec![text]),
            Elements::Numbers(_) => return Err(E::custom("numbers and texts in one tensor")),
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Nested<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Nested<'_> {
    type Value = ();

    fn expecting(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("numbers or texts in lists")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while list.next_element_seed(Nested(self.0))?.is_some() {}
        Ok(())
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<(), E> {
        self.number(number as f32)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<(), E> {
        self.number(number as f32)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<(), E> {
        self.number(number as f32)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.text(text.into())
    }

    fn visit_string<E: Error>(self, text: String) -> Result<(), E> {
        self.text(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_flattened() {
        let elements = |text: &str| serde_json::from_str::<Elements>(text).map_err(|error| error.to_string());
        assert_eq!(elements("[[1, -2.5], [3e2, 0.1]]"), Ok(Elements::Numbers(vec![1.0, -2.5, 300.0, 0.1])));
        assert_eq!(elements(r#"["a", ["b"]]"#), Ok(Elements::Texts(vec!["a".into(), "b".into()])));
        assert_eq!(elements("[]"), Ok(Elements::Numbers(vec![])));
        for wrong in [r#"[1, "a"]"#, r#"["a", 1]"#] {
            assert!(elements(wrong).unwrap_err().contains("numbers and texts"), "{wrong}");
        }
        assert!(elements("[null]").unwrap_err().contains("numbers or texts in lists"));
        assert!(elements(&"[".repeat(100_000)).unwrap_err().contains("recursion limit"));
    }
}
