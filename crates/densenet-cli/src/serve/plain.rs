//! Routes for people: `POST /predict`, the page, the model's card, metrics, and the description of all routes.

use std::sync::Arc;

use axum::extract::{FromRequestParts, Query, Request, State};
use axum::http::header;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use densenet::output::likeliest_first;
use serde::Deserialize;
use serde_json::{Value, json};

use super::body;
use super::error::Refusal;
use super::infer::prepare;
use super::served::Served;
use super::server::Server;
use super::tensors::Input;

type Shared = State<Arc<Server>>;

/// The routes for people.
pub fn routes() -> Router<Arc<Server>> {
    Router::new()
        .route("/predict", post(predict))
        .route("/models", get(models))
        .route("/metrics", get(metrics))
        .route("/openapi.json", get(openapi))
}

/// What a browser allows the page to do: query this server, and show the picture.
const POLICY: &str = "default-src 'none'; connect-src 'self'; img-src data: blob:; script-src 'unsafe-inline'; \
                      style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The page, which anybody may read: it contains nothing about the models.
pub fn page() -> Router<Arc<Server>> {
    let headers = [(header::CONTENT_SECURITY_POLICY, POLICY), (header::X_CONTENT_TYPE_OPTIONS, "nosniff")];
    Router::new().route("/", get(async move || (headers, Html(include_str!("page.html")))))
}

async fn openapi() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], include_str!("openapi.json"))
}

async fn metrics(State(server): Shared) -> Result<Response, Refusal> {
    let text = server.metrics.text().map_err(|error| Refusal::failed(crate::output::with_causes(&error)))?;
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response())
}

/// What the page shows of each model.
async fn models(State(server): Shared) -> Json<Value> {
    let model = |model: &Arc<Served>| {
        let [channels, height, width] = model.input();
        let config = &model.card().config;
        json!({
            "name": model.name,
            "network": crate::model::network(config),
            "input": format!("{channels} x {height} x {width}"),
            "preprocessing": crate::preparing::in_words(model.preprocessing()),
            "dataset": model.card().dataset,
            "labels": model.labels(),
        })
    };
    Json(server.models().values().map(model).collect())
}

/// The options of `/predict`.
#[derive(Deserialize, FromRequestParts)]
#[from_request(via(Query), rejection(Refusal))]
struct Options {
    model: Option<String>,
    #[serde(default = "five")]
    top: usize,
    #[serde(default)]
    map: bool,
}

fn five() -> usize {
    5
}

/// Predicts the picture in the body.
async fn predict(
    State(server): Shared,
    Options { model, top, map }: Options,
    request: Request,
) -> Result<Json<Value>, Refusal> {
    let model = match model {
        Some(name) => server.model(&name, None)?,
        None => server.models().into_values().next().expect("a server has a model"),
    };
    let begun = std::time::Instant::now();
    let predicted = async {
        let (_, bytes, _admitted) = body::read(&server, request).await?;
        let prepared = prepare(&server, &model, Input::Encoded(vec![bytes])).await?;
        let (took, input) = (begun.elapsed(), map.then(|| prepared.inputs.clone()));
        let (done, features) = model.predict(prepared, None).await?;
        model.metrics.served(begun.elapsed(), took, &done);
        let (row, labels) = (done.logits.row(0), model.labels());
        let probabilities = model.output().probabilities(row);
        let order = likeliest_first(&probabilities, row);
        let class =
            |&index: &usize| json!({ "label": labels[index], "index": index, "probability": probabilities[index] });
        let classes: Vec<Value> = order.iter().take(top.max(1)).map(class).collect();
        let mut json = json!({ "model": model.name, "classes": classes, "seconds": begun.elapsed().as_secs_f64() });
        if let Some(novelty) = model.novelty(&features) {
            novelty.add_to(&mut json);
        }
        if let Some(input) = input {
            // A map costs as much as an input; it takes the next free place, before later requests.
            let _place = model.place().await;
            json["map"] = class_map(&model, input, order[0]).await?;
        }
        Ok(Json(json))
    };
    predicted.await.inspect_err(|refusal: &Refusal| model.metrics.failed(refusal))
}

/// What each place adds to the logit of `class`: rows of numbers, and the size of the part of the picture that they
/// cover.
async fn class_map(model: &Arc<Served>, input: ndarray::Array4<f32>, class: usize) -> Result<Value, Refusal> {
    let own = model.clone();
    let map = tokio::task::spawn_blocking(move || own.map(&input, class)).await;
    let map = map.map_err(|_| Refusal::failed("the map could not be made"))?;
    let map = map.map_err(|error| Refusal::bad(crate::output::with_causes(&error)))?;
    let rows: Vec<Vec<f32>> = map.rows().into_iter().map(|row| row.to_vec()).collect();
    Ok(json!({ "class": class, "values": rows, "crop": crop(model) }))
}

/// How the part of a picture that the network sees is cropped from it.
fn crop(model: &Served) -> Value {
    let preprocessing = model.preprocessing();
    json!({
        "squash": preprocessing.resize == densenet::data::Resize::Squash,
        "share": preprocessing.size as f64 / preprocessing.resized_side() as f64,
    })
}
