//! Tables of float32 as `.npy` files.

use anyhow::Result;
use ndarray::Array2;
use npyz::{WriteOptions, WriterBuilder};

/// The file of a table, row by row.
pub fn npy(values: &Array2<f32>) -> Result<Vec<u8>> {
    let shape = [values.nrows() as u64, values.ncols() as u64];
    let mut file = Vec::new();
    let mut writer = WriteOptions::new().default_dtype().shape(&shape).writer(&mut file).begin_nd()?;
    writer.extend(values)?;
    writer.finish()?;
    Ok(file)
}
