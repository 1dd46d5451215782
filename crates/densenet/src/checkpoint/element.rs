//! Elements of any floating-point type, as `f32`.

use std::io;

use half::{bf16, f16};
use safetensors::Dtype;

/// Converts little-endian `bytes` of `dtype` into `out`; a value beyond the range of `f32` becomes infinite.
pub(super) fn widen(dtype: Dtype, bytes: &[u8], out: &mut [f32]) -> io::Result<()> {
    match dtype {
        Dtype::F32 => each(bytes, out, f32::from_le_bytes),
        Dtype::F64 => each(bytes, out, |bytes| f64::from_le_bytes(bytes) as f32),
        Dtype::F16 => each(bytes, out, |bytes| f16::from_le_bytes(bytes).to_f32()),
        Dtype::BF16 => each(bytes, out, |bytes| bf16::from_le_bytes(bytes).to_f32()),
        Dtype::I8 => each(bytes, out, |bytes| i8::from_le_bytes(bytes).into()),
        Dtype::U8 => each(bytes, out, |[byte]| byte.into()),
        _ => Err(io::Error::other(format!("its elements are {dtype:?}; weights are F32, F16, BF16, F64, or I8"))),
    }
}

fn each<const N: usize>(bytes: &[u8], out: &mut [f32], convert: impl Fn([u8; N]) -> f32) -> io::Result<()> {
    let (elements, rest) = bytes.as_chunks::<N>();
    if elements.len() != out.len() || !rest.is_empty() {
        return Err(io::Error::other(format!("{} bytes for {} elements of {N}", bytes.len(), out.len())));
    }
    out.iter_mut().zip(elements).for_each(|(out, &bytes)| *out = convert(bytes));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_keeps_what_f32_can_hold() {
        let values = [1.5f32, -0.25, 0.0];
        let bytes: [(Dtype, Vec<u8>); 4] = [
            (Dtype::F32, values.iter().flat_map(|v| v.to_le_bytes()).collect()),
            (Dtype::F64, values.iter().flat_map(|&v| f64::from(v).to_le_bytes()).collect()),
            (Dtype::F16, values.iter().flat_map(|&v| f16::from_f32(v).to_le_bytes()).collect()),
            (Dtype::BF16, values.iter().flat_map(|&v| bf16::from_f32(v).to_le_bytes()).collect()),
        ];
        for (dtype, bytes) in bytes {
            let mut out = [9.0; 3];
            widen(dtype, &bytes, &mut out).unwrap();
            assert_eq!(out, values, "{dtype:?}");
            assert!(widen(dtype, &bytes[1..], &mut out).is_err());
        }
        let mut out = [9.0; 2];
        widen(Dtype::I8, &[0x80, 0x7f], &mut out).unwrap();
        assert_eq!(out, [-128.0, 127.0]);
        widen(Dtype::U8, &[0x80, 0xff], &mut out).unwrap();
        assert_eq!(out, [128.0, 255.0]);
        assert!(widen(Dtype::I64, &[0; 8], &mut [0.0]).unwrap_err().to_string().contains("I64"));
    }
}
