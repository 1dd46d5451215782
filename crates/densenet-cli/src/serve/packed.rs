//! Elements of tensors as bytes, little endian; BYTES with the length of each before it.

use super::inference::Values;
use super::refusal::Refusal;

/// The elements of a tensor called `name` in `bytes`.
///
/// # Errors
/// A type that is not taken, or bytes that are no whole elements.
pub fn unpacked(name: &str, datatype: &str, bytes: &[u8]) -> Result<Values, Refusal> {
    let values = match datatype {
        "FP32" => floats(bytes).map(Values::Float),
        "UINT8" => Some(Values::Byte(bytes.to_vec())),
        "BYTES" => parts(bytes).map(Values::Bytes),
        _ => return Err(Refusal::Invalid(format!("'{name}' is {datatype}; it must be FP32, UINT8 or BYTES"))),
    };
    let length = bytes.len();
    values.ok_or_else(|| {
        Refusal::Invalid(format!("'{name}' is {length} bytes, which are no whole elements of {datatype}"))
    })
}

fn floats(bytes: &[u8]) -> Option<Vec<f32>> {
    let (elements, rest) = bytes.as_chunks();
    rest.is_empty().then(|| elements.iter().map(|&element| f32::from_le_bytes(element)).collect())
}

fn parts(mut bytes: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut parts = Vec::new();
    while !bytes.is_empty() {
        let (length, rest) = bytes.split_first_chunk()?;
        let (part, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        parts.push(part.to_vec());
        bytes = rest;
    }
    Some(parts)
}

/// The bytes of `values`.
pub fn packed(values: &Values) -> Vec<u8> {
    match values {
        Values::Float(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
        Values::Byte(values) => values.clone(),
        Values::Bytes(parts) => {
            let part = |part: &Vec<u8>| [&(part.len() as u32).to_le_bytes(), &part[..]].concat();
            parts.iter().flat_map(part).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_come_back_as_they_were() {
        let there_and_back = |values: Values| unpacked("x", values.datatype(), &packed(&values)).unwrap();
        assert!(matches!(there_and_back(Values::Float(vec![0.1, -3.0])), Values::Float(v) if v == [0.1, -3.0]));
        assert!(matches!(there_and_back(Values::Byte(vec![1, 2])), Values::Byte(v) if v == [1, 2]));
        let parts = vec![b"ab".to_vec(), vec![], b"c".to_vec()];
        assert!(matches!(there_and_back(Values::Bytes(parts.clone())), Values::Bytes(found) if found == parts));
    }

    #[test]
    fn parts_of_elements_are_refused() {
        for (datatype, bytes) in [("FP32", &[0; 5][..]), ("BYTES", &[1, 0, 0]), ("BYTES", &[255, 255, 255, 255, 0])] {
            let refusal = unpacked("x", datatype, bytes).err().unwrap();
            assert!(refusal.to_string().contains("no whole elements"), "{refusal}");
        }
    }
}
