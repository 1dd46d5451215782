//! Reading what a weight file keeps of the training pictures.

use half::f16;
use safetensors::Dtype;

use super::reader::Reader;
use super::reference_tensors::{CLASS_MEANS, EMBEDDINGS, KEY, MEAN, PREFIX, Text, VERSION, WHITENING};
use crate::Result;
use crate::architecture::Architecture;
use crate::novelty::{Parts, Reference};

impl Reader {
    /// What the file keeps of the training pictures of a network of `architecture`; `None` where it keeps nothing.
    /// [`DenseNet::with_reference`](crate::DenseNet::with_reference) checks that it belongs to the file's weights.
    ///
    /// # Errors
    /// A reference that is damaged, or belongs to another architecture.
    pub fn reference(&mut self, architecture: &Architecture) -> Result<Option<Reference>> {
        let Some(text) = self.text(KEY) else { return Ok(None) };
        let Text { version, origin, reach } = serde_json::from_str(text)
            .map_err(|error| self.wrong(format!("its reference to training pictures: {error}")))?;
        if version > VERSION {
            let reason =
                format!("its reference to training pictures has version {version}; this program reads up to {VERSION}");
            return Err(self.wrong(reason));
        }
        let parts = self.reference_parts(architecture)?;
        Ok(Some(Reference::new(parts, origin, reach)))
    }

    fn reference_parts(&mut self, architecture: &Architecture) -> Result<Parts> {
        let width = architecture.num_features;
        let mean = self.reference_tensor(MEAN, Dtype::F32, &[width])?;
        let whitening = self.reference_tensor(WHITENING, Dtype::F32, &[width * (width + 1) / 2])?;
        let class_means = self.reference_tensor(CLASS_MEANS, Dtype::F32, &[0, width])?;
        let embeddings = self.reference_tensor(EMBEDDINGS, Dtype::F16, &[0, width])?;
        Ok(Parts { mean, whitening, class_means, embeddings: embeddings.into_iter().map(f16::from_f32).collect() })
    }

    /// The elements of a tensor of this type and shape, in which 0 matches any positive number; they must be finite.
    fn reference_tensor(&mut self, name: &str, dtype: Dtype, shape: &[usize]) -> Result<Vec<f32>> {
        let name = format!("{PREFIX}{name}");
        let fits = |found: &[usize]| {
            found.len() == shape.len()
                && found.iter().zip(shape).all(|(&n, &wanted)| n > 0 && (wanted == 0 || n == wanted))
        };
        let found = self.tensors().iter().position(|stored| stored.name == name);
        let found = found.filter(|&index| self.tensors()[index].dtype == dtype && fits(&self.tensors()[index].shape));
        let index =
            found.ok_or_else(|| self.wrong(format!("lacks {name} of {dtype:?} in the shape of this network")))?;
        // The header has been checked against the file, so this is no more than the file holds.
        let mut values = vec![0.0; self.tensors()[index].shape.iter().product()];
        self.read(index, &mut values)?;
        match values.iter().all(|value| value.is_finite()) {
            true => Ok(values),
            false => Err(self.wrong(format!("{name} holds values that are not finite"))),
        }
    }
}
