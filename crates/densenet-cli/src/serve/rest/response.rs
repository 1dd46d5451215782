//! What HTTP answers.

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::serve::inference::{Tensor, Values};
use crate::serve::packed::packed;
use crate::serve::refusal::Refusal;

/// The length of the JSON before binary tensors.
pub const JSON_LENGTH: HeaderName = HeaderName::from_static("inference-header-content-length");

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = match self {
            Self::Invalid(_) => StatusCode::BAD_REQUEST,
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Busy(_) | Self::Ending => StatusCode::SERVICE_UNAVAILABLE,
            Self::Late => StatusCode::GATEWAY_TIMEOUT,
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let mut response = (status, Json(json!({ "error": self.to_string() }))).into_response();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

impl From<QueryRejection> for Refusal {
    fn from(rejection: QueryRejection) -> Self {
        Self::Invalid(rejection.body_text())
    }
}

impl From<PathRejection> for Refusal {
    fn from(rejection: PathRejection) -> Self {
        Self::NotFound(rejection.body_text())
    }
}

/// The answer of inference: what is known before, `outputs` added, those that are `binary` behind the JSON.
///
/// # Errors
/// Values that JSON has no numbers for.
pub fn inference(mut head: Value, outputs: Vec<Tensor>, binary: impl Fn(usize) -> bool) -> Result<Response, Refusal> {
    let (mut objects, mut behind) = (Vec::new(), Vec::new());
    for (place, Tensor { name, shape, values }) in outputs.into_iter().enumerate() {
        let mut object = json!({ "name": name, "datatype": values.datatype(), "shape": shape });
        if binary(place) {
            let bytes = packed(&values);
            object["parameters"] = json!({ "binary_data_size": bytes.len() });
            behind.extend(bytes);
        } else {
            object["data"] = in_json(&name, &values)?;
        }
        objects.push(object);
    }
    head["outputs"] = objects.into();
    if behind.is_empty() {
        return Ok(Json(head).into_response());
    }
    let mut body = head.to_string().into_bytes();
    let length = HeaderValue::from(body.len());
    body.extend(behind);
    let octets = HeaderValue::from_static("application/octet-stream");
    Ok(([(header::CONTENT_TYPE, octets), (JSON_LENGTH, length)], body).into_response())
}

/// Elements as a list.
fn in_json(name: &str, values: &Values) -> Result<Value, Refusal> {
    match values {
        Values::Float(values) if values.iter().all(|value| value.is_finite()) => Ok(json!(values)),
        Values::Float(_) => Err(Refusal::Invalid(format!(
            "'{name}' is not finite, so the request or the weights hold values that are not; JSON has no numbers for it"
        ))),
        Values::Byte(values) => Ok(json!(values)),
        Values::Bytes(parts) => Ok(parts.iter().map(|part| String::from_utf8_lossy(part)).collect()),
    }
}
