//! The native half of the Python package `densenet`: conversions between Python and the library, without logic of its
//! own.
//!
//! The public Python interface and its documentation are in `python/densenet/`.

mod engine;
mod errors;
mod explaining;
mod exporting;
mod network;
mod sources;
mod threads;
mod training;

use pyo3::prelude::*;

/// The native half of `densenet`.
#[pymodule]
fn _densenet(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add("PRESETS", densenet::config::PRESETS)?;
    module.add("MODELS", densenet::models::MODELS.map(|model| model.name))?;
    module.add("PREPROCESSINGS", densenet::data::PREPROCESSINGS)?;
    module.add_function(wrap_pyfunction!(threads::set_num_threads, module)?)?;
    module.add_function(wrap_pyfunction!(threads::get_num_threads, module)?)?;
    module.add_function(wrap_pyfunction!(explaining::explain, module)?)?;
    module.add_function(wrap_pyfunction!(exporting::export, module)?)?;
    module.add_function(wrap_pyfunction!(engine::layout, module)?)?;
    module.add_function(wrap_pyfunction!(training::train, module)?)?;
    module.add_function(wrap_pyfunction!(training::run, module)?)?;
    module.add_class::<engine::Engine>()?;
    module.add_class::<network::Network>()
}
