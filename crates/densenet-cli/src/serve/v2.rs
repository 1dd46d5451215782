//! The Open Inference Protocol (KServe v2) over HTTP, with Triton's extensions: binary tensors, classification, model
//! configuration, statistics and the model repository.

use std::sync::Arc;

use axum::extract::{FromRequestParts, Path, Request, State};
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::body;
use super::error::Refusal;
use super::infer::infer;
use super::json;
use super::metrics::{Statistics, VERSION};
use super::served::Served;
use super::server::{EXTENSIONS, NAME, Server};
use super::tensors::{INPUT, OutputName, OutputTensor, Values};

/// The header with the number of bytes of a body that are JSON; tensors follow.
const HEADER_LENGTH: HeaderName = HeaderName::from_static("inference-header-content-length");

type Shared = State<Arc<Server>>;

/// The name and version of a model, in a path.
#[derive(Deserialize, FromRequestParts)]
#[from_request(via(Path), rejection(Refusal))]
struct Named {
    name: String,
    version: Option<String>,
}

/// The protocol's routes.
pub fn routes() -> Router<Arc<Server>> {
    let model = |of_model: Router<Arc<Server>>| {
        let both = Router::new().nest("/v2/models/{name}", of_model.clone());
        both.nest("/v2/models/{name}/versions/{version}", of_model)
    };
    let of_model = Router::new()
        .route("/", get(metadata))
        .route("/ready", get(model_ready))
        .route("/infer", post(inferred))
        .route("/config", get(configuration))
        .route("/stats", get(statistics));
    model(of_model)
        .route("/v2", get(server_metadata))
        .route("/v2/models/stats", get(all_statistics))
        .route("/v2/repository/index", post(index))
}

/// The routes that anybody may read.
pub fn health() -> Router<Arc<Server>> {
    Router::new().route("/v2/health/live", get(live)).route("/v2/health/ready", get(ready))
}

async fn live() -> Json<Value> {
    Json(json!({ "live": true }))
}

async fn ready(State(server): Shared) -> Response {
    let ready = server.is_ready();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(json!({ "ready": ready }))).into_response()
}

async fn server_metadata() -> Json<Value> {
    Json(json!({ "name": NAME, "version": env!("CARGO_PKG_VERSION"), "extensions": EXTENSIONS }))
}

fn find(server: &Server, Named { name, version }: &Named) -> Result<Arc<Served>, Refusal> {
    server.model(name, version.as_deref())
}

async fn model_ready(State(server): Shared, named: Named) -> Result<Response, Refusal> {
    let model = find(&server, &named)?;
    let ready = server.is_ready();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    Ok((status, Json(json!({ "name": model.name, "ready": ready }))).into_response())
}

async fn metadata(State(server): Shared, named: Named) -> Result<Json<Value>, Refusal> {
    let model = find(&server, &named)?;
    let [channels, height, width] = model.input();
    let classes = model.labels().len();
    Ok(Json(json!({
        "name": model.name,
        "versions": [VERSION],
        "platform": NAME,
        "inputs": [{ "name": INPUT, "datatype": "FP32", "shape": [-1, channels, height, width] }],
        "outputs": [{ "name": OutputName::Logits.name(), "datatype": "FP32", "shape": [-1, classes] }],
    })))
}

async fn configuration(State(server): Shared, named: Named) -> Result<Json<Value>, Refusal> {
    let model = find(&server, &named)?;
    let output =
        |name: OutputName| json!({ "name": name.name(), "data_type": "TYPE_FP32", "dims": [model.labels().len()] });
    Ok(Json(json!({
        "name": model.name,
        "platform": NAME,
        "backend": NAME,
        "max_batch_size": server.most_inputs(&model),
        "input": [{ "name": INPUT, "data_type": "TYPE_FP32", "format": "FORMAT_NCHW", "dims": model.input() }],
        "output": [output(OutputName::Logits)],
    })))
}

fn statistics_of(model: &Served) -> Value {
    let Statistics { success, failure, inputs, batches, request, queue, input, infer } = model.metrics.statistics();
    let of_success = |nanoseconds: u64| json!({ "count": success, "ns": nanoseconds });
    json!({
        "name": model.name,
        "version": VERSION,
        "inference_count": inputs,
        "execution_count": batches,
        "inference_stats": {
            "success": of_success(request),
            "fail": { "count": failure, "ns": 0 },
            "queue": of_success(queue),
            "compute_input": of_success(input),
            "compute_infer": of_success(infer),
            "compute_output": of_success(0),
        },
    })
}

async fn statistics(State(server): Shared, named: Named) -> Result<Json<Value>, Refusal> {
    Ok(Json(json!({ "model_stats": [statistics_of(&*find(&server, &named)?)] })))
}

async fn all_statistics(State(server): Shared) -> Json<Value> {
    let all: Vec<Value> = server.models().values().map(|model| statistics_of(model)).collect();
    Json(json!({ "model_stats": all }))
}

async fn index(State(server): Shared) -> Json<Value> {
    let model = |name: &String| json!({ "name": name, "version": VERSION, "state": "READY" });
    Json(server.models().keys().map(model).collect())
}

async fn inferred(State(server): Shared, named: Named, request: Request) -> Result<Response, Refusal> {
    let model = find(&server, &named)?;
    let (headers, bytes, _admitted) =
        body::read(&server, request).await.inspect_err(|refusal| model.metrics.failed(refusal))?;
    let (id, request) = tokio::task::spawn_blocking(move || json::parse(json_length(&headers)?, &bytes))
        .await
        .map_err(|_| Refusal::failed("the request could not be read"))?
        .inspect_err(|refusal| model.metrics.failed(refusal))?;
    let outputs = infer(&server, &model, request).await?;
    Ok(response(&model, id, outputs))
}

/// The number of bytes of a body that are JSON, if tensors follow.
fn json_length(headers: &HeaderMap) -> Result<Option<usize>, Refusal> {
    let Some(length) = headers.get(HEADER_LENGTH) else { return Ok(None) };
    let number = length.to_str().ok().and_then(|length| length.parse().ok());
    number.map(Some).ok_or_else(|| Refusal::bad("Inference-Header-Content-Length must be a number"))
}

fn response(model: &Served, id: Option<String>, outputs: Vec<OutputTensor>) -> Response {
    let mut tensors = Vec::new();
    let described: Vec<Value> = outputs.into_iter().map(|output| describe(output, &mut tensors)).collect();
    let mut json = json!({ "model_name": model.name, "model_version": VERSION, "outputs": described });
    if let Some(id) = id {
        json["id"] = json!(id);
    }
    if tensors.is_empty() {
        return Json(json).into_response();
    }
    let json = json.to_string().into_bytes();
    let headers =
        [(header::CONTENT_TYPE, "application/octet-stream".to_string()), (HEADER_LENGTH, json.len().to_string())];
    (headers, [json, tensors].concat()).into_response()
}

/// The JSON for an output; its bytes are appended to `tensors` if they are sent separately.
fn describe(OutputTensor { wanted, shape, values }: OutputTensor, tensors: &mut Vec<u8>) -> Value {
    let mut json = json!({ "name": wanted.name.name(), "datatype": values.datatype(), "shape": shape });
    if wanted.binary {
        let bytes = values.bytes();
        json["parameters"] = json!({ "binary_data_size": bytes.len() });
        tensors.extend(bytes);
    } else {
        json["data"] = match values {
            Values::Numbers(numbers) => json!(numbers),
            Values::Texts(texts) => json!(texts),
        };
    }
    json
}
