//! `POST /predict`: a picture in, what it shows out, for people and their scripts.

use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Multipart, Path, Query, State};
use axum::http::{HeaderMap, Request, header};
use axum::routing::post;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::body::Whole;
use super::model::Served;
use super::refusal::Refusal;
use super::server::Server;
use crate::predict::prediction::Prediction;

/// What a picture without a name is called.
const PICTURE: &str = "picture";

/// The addresses: of the first model, and of each.
pub fn routes() -> Router<Arc<Server>> {
    Router::new().route("/predict", post(by_first)).route("/predict/{name}", post(by_named))
}

/// What may follow the address.
#[derive(Deserialize, FromRequestParts)]
#[from_request(via(Query), rejection(Refusal))]
struct Options {
    /// The likeliest classes to name.
    #[serde(default = "five")]
    top: usize,
    /// Whether the map of the likeliest class is wanted.
    #[serde(default)]
    map: bool,
}

/// The model that an address names.
#[derive(Deserialize, FromRequestParts)]
#[from_request(via(Path), rejection(Refusal))]
struct Named {
    name: String,
}

fn five() -> usize {
    5
}

async fn by_first(
    State(server): State<Arc<Server>>,
    options: Options,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Value>, Refusal> {
    let model = server.models()[0].clone();
    predict(&server, model, options, headers, body).await
}

async fn by_named(
    State(server): State<Arc<Server>>,
    Named { name }: Named,
    options: Options,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Value>, Refusal> {
    predict(&server, server.model(&name)?, options, headers, body).await
}

async fn predict(
    server: &Server,
    model: Arc<Served>,
    Options { top, map }: Options,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Value>, Refusal> {
    let _place = server.admit()?;
    let deadline = Instant::now() + server.limits.timeout;
    if map && !model.has_maps {
        return Err(Refusal::Invalid(format!("'{}' has no exact maps of its classes; leave map out", model.name)));
    }
    let body = Whole::read(server, body).await?;
    let (name, bytes) = picture(&headers, body.bytes).await?;
    let (decoder, called) = (model.clone(), name.clone());
    let images = server.decoders.run(move || decoder.decoded(&bytes, &called)).await?;
    let answer = model.ask(images, map, deadline).await?;
    let logits = answer.logits.row(0);
    if logits.iter().any(|logit| !logit.is_finite()) {
        let reason = "what the network makes of the picture is not finite, so the weights hold values that are not";
        return Err(Refusal::Internal(reason.into()));
    }
    let top = top.clamp(1, model.labels.len());
    let prediction = Prediction::new(&name, logits, &model.labels, &model.output, top);
    let mut object = prediction.object();
    object["model"] = json!(model.name);
    if let Some(map) = answer.maps.first() {
        let rows: Vec<Vec<f32>> = map.rows().into_iter().map(|row| row.to_vec()).collect();
        object["map"] = json!({ "class": prediction.likeliest(), "values": rows });
    }
    Ok(Json(object))
}

/// Name and bytes of the picture in a body: its first file, or all of it.
async fn picture(headers: &HeaderMap, body: Vec<u8>) -> Result<(String, Vec<u8>), Refusal> {
    let kind = headers.get(header::CONTENT_TYPE).filter(|kind| kind.as_bytes().starts_with(b"multipart/form-data"));
    let Some(kind) = kind else { return Ok((PICTURE.into(), body)) };
    let wrong = |reason: String| Refusal::Invalid(format!("the form: {reason}"));
    let request = Request::builder().header(header::CONTENT_TYPE, kind).body(Body::from(body));
    let request = request.map_err(|error| wrong(error.to_string()))?;
    let mut form = Multipart::from_request(request, &()).await.map_err(|error| wrong(error.body_text()))?;
    while let Some(field) = form.next_field().await.map_err(|error| wrong(error.body_text()))? {
        let Some(name) = field.file_name().map(String::from) else { continue };
        let bytes = field.bytes().await.map_err(|error| wrong(error.body_text()))?;
        return Ok((name, bytes.to_vec()));
    }
    Err(wrong("it holds no file".into()))
}
