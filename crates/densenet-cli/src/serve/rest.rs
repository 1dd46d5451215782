//! The Open Inference Protocol, version 2, over HTTP, with the extensions of Triton that clients use.

mod elements;
mod request;
pub mod response;

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{FromRequestParts, Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use self::request::Request;
use self::response::JSON_LENGTH;
use super::body::Whole;
use super::inference::{INPUT, LOGITS, infer};
use super::model::{Served, VERSION};
use super::refusal::Refusal;
use super::server::Server;

/// The addresses of the protocol.
pub fn routes() -> Router<Arc<Server>> {
    let of_model =
        |path: &str| [format!("/v2/models/{{name}}{path}"), format!("/v2/models/{{name}}/versions/{{version}}{path}")];
    let mut router = Router::new()
        .route("/v2", get(server_metadata))
        .route("/v2/health/live", get(live))
        .route("/v2/health/ready", get(ready));
    for path in of_model("") {
        router = router.route(&path, get(model_metadata));
    }
    for path in of_model("/ready") {
        router = router.route(&path, get(model_ready));
    }
    for path in of_model("/infer") {
        router = router.route(&path, post(model_infer));
    }
    router
}

/// The model that an address names.
#[derive(Deserialize, FromRequestParts)]
#[from_request(via(Path), rejection(Refusal))]
struct Named {
    name: String,
    version: Option<String>,
}

impl Named {
    fn find(&self, server: &Server) -> Result<Arc<Served>, Refusal> {
        let Self { name, version } = self;
        let model = server.model(name)?;
        match version {
            Some(version) if version != VERSION => {
                let reason = format!("Request for unknown model: '{name}' version {version} is not found");
                Err(Refusal::NotFound(reason))
            }
            _ => Ok(model),
        }
    }
}

async fn server_metadata() -> Json<Value> {
    Json(json!({ "name": "densenet", "version": env!("CARGO_PKG_VERSION"), "extensions": EXTENSIONS }))
}

/// Extensions of the protocol, as Triton calls them.
const EXTENSIONS: [&str; 2] = ["classification", "binary_tensor_data"];

async fn live() -> Json<Value> {
    Json(json!({ "live": true }))
}

async fn ready(State(server): State<Arc<Server>>) -> Response {
    readiness(&server)
}

async fn model_ready(State(server): State<Arc<Server>>, named: Named) -> Result<Response, Refusal> {
    named.find(&server)?;
    Ok(readiness(&server))
}

fn readiness(server: &Server) -> Response {
    let ready = !server.is_ending();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(json!({ "ready": ready }))).into_response()
}

async fn model_metadata(State(server): State<Arc<Server>>, named: Named) -> Result<Json<Value>, Refusal> {
    let model = named.find(&server)?;
    let (channels, size) = model.input();
    Ok(Json(json!({
        "name": model.name,
        "versions": [VERSION],
        "platform": "densenet",
        "inputs": [{ "name": INPUT, "datatype": "FP32", "shape": [-1, channels, size, size] }],
        "outputs": [{ "name": LOGITS, "datatype": "FP32", "shape": [-1, model.labels.len()] }],
    })))
}

async fn model_infer(
    State(server): State<Arc<Server>>,
    named: Named,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    let _place = server.admit()?;
    let model = named.find(&server)?;
    let json = json_length(&headers)?;
    let body = Whole::read(&server, body).await?;
    // Reading long lists of numbers takes as long as decoding a picture.
    let (request, body) = server.decoders.run(move || Ok((Request::read(&body.bytes, json)?, body))).await?;
    let outputs = infer(&server, &model, request.inputs, &request.outputs, request.timeout).await?;
    drop(body);
    let mut head = json!({ "model_name": model.name, "model_version": VERSION });
    if let Some(id) = request.id {
        head["id"] = id.into();
    }
    response::inference(head, outputs, |place| request.binary.get(place).copied().unwrap_or(request.binary_default))
}

/// How much of a body is JSON, where binary tensors follow.
fn json_length(headers: &HeaderMap) -> Result<Option<usize>, Refusal> {
    let Some(value) = headers.get(JSON_LENGTH) else { return Ok(None) };
    let length = value.to_str().ok().and_then(|text| text.parse().ok());
    length.map(Some).ok_or_else(|| Refusal::Invalid(format!("{JSON_LENGTH}: it must be a number of bytes")))
}
