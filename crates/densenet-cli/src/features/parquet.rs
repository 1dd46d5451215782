//! Features as a table in Parquet: a path and a list of floats for each input.

use std::fmt::Display;
use std::sync::Arc;

use anyhow::Result;
use ndarray::{ArrayView2, Axis};
use parquet::basic::{LogicalType, Repetition, Type as Physical};
use parquet::data_type::{ByteArray, ByteArrayType, FloatType};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::types::{Type, TypePtr};

use super::embeddings::Embeddings;

/// Rows that are written together: the least that a reader of some rows has to read.
const ROWS: usize = 4_096;

/// The file with what was `found`.
pub fn parquet<S: Display>(found: &Embeddings<S>) -> Result<Vec<u8>> {
    // A network's floats hardly repeat, so a dictionary would only add to their size.
    let properties = WriterProperties::builder()
        .set_dictionary_enabled(false)
        .set_statistics_enabled(EnabledStatistics::None)
        .set_created_by(format!("densenet {}", env!("CARGO_PKG_VERSION")))
        .build();
    let mut file = Vec::new();
    let mut writer = SerializedFileWriter::new(&mut file, schema()?, Arc::new(properties))?;
    for (sources, values) in found.of.chunks(ROWS).zip(found.values.axis_chunks_iter(Axis(0), ROWS)) {
        let mut group = writer.next_row_group()?;
        write_paths(&mut group, sources)?;
        write_features(&mut group, values)?;
        group.close()?;
    }
    writer.close()?;
    Ok(file)
}

/// `path`, a text, and `features`, a list of float32 whose names are those of Parquet's specification; nothing is missing.
fn schema() -> Result<TypePtr> {
    let required = |field: Type| Arc::new(field);
    let path = Type::primitive_type_builder("path", Physical::BYTE_ARRAY)
        .with_repetition(Repetition::REQUIRED)
        .with_logical_type(Some(LogicalType::String))
        .build()?;
    let element =
        Type::primitive_type_builder("element", Physical::FLOAT).with_repetition(Repetition::REQUIRED).build()?;
    let list = Type::group_type_builder("list")
        .with_repetition(Repetition::REPEATED)
        .with_fields(vec![required(element)])
        .build()?;
    let features = Type::group_type_builder("features")
        .with_repetition(Repetition::REQUIRED)
        .with_logical_type(Some(LogicalType::List))
        .with_fields(vec![required(list)])
        .build()?;
    let fields = vec![required(path), required(features)];
    Ok(Arc::new(Type::group_type_builder("features").with_fields(fields).build()?))
}

fn write_paths<S: Display>(group: &mut SerializedRowGroupWriter<'_, &mut Vec<u8>>, sources: &[S]) -> Result<()> {
    let paths: Vec<ByteArray> = sources.iter().map(|source| source.to_string().into_bytes().into()).collect();
    let Some(mut column) = group.next_column()? else { return Ok(()) };
    column.typed::<ByteArrayType>().write_batch(&paths, None, None)?;
    Ok(column.close()?)
}

fn write_features(group: &mut SerializedRowGroupWriter<'_, &mut Vec<u8>>, values: ArrayView2<'_, f32>) -> Result<()> {
    let flat: Vec<f32> = values.iter().copied().collect();
    // A value is there (1), and either begins a list (0) or continues one (1).
    let present = vec![1; flat.len()];
    let continues: Vec<i16> = (0..flat.len()).map(|place| i16::from(place % values.ncols() > 0)).collect();
    let Some(mut column) = group.next_column()? else { return Ok(()) };
    column.typed::<FloatType>().write_batch(&flat, Some(&present), Some(&continues))?;
    Ok(column.close()?)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use ::parquet::file::reader::{FileReader, SerializedFileReader};
    use ::parquet::record::{Field, RowAccessor};
    use ndarray::Array1;

    use super::*;

    #[test]
    fn rows_of_several_groups_come_back_bit_for_bit() {
        let mut found = Embeddings::default();
        let value = |row: usize, at: usize| (row as f32 - 7.5) / (3 + at) as f32;
        let rows = 2 * ROWS + 1;
        for row in 0..rows {
            let values = Array1::from_shape_fn(3, |at| value(row, at));
            found.add(format!("p/{row} ü.png"), values.view()).unwrap();
        }
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&parquet(&found).unwrap()).unwrap();
        let reader = SerializedFileReader::new(file).unwrap();
        assert_eq!((reader.num_row_groups(), reader.metadata().file_metadata().num_rows()), (3, rows as i64));
        for (row, record) in reader.get_row_iter(None).unwrap().enumerate() {
            let record = record.unwrap();
            assert_eq!(record.get_string(0).unwrap(), &format!("p/{row} ü.png"));
            let wanted: Vec<Field> = (0..3).map(|at| Field::Float(value(row, at))).collect();
            assert_eq!(record.get_list(1).unwrap().elements(), wanted);
        }
    }
}
