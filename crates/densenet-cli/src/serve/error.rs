//! Errors that are sent to clients.

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// Why a request is refused or fails: a status code and a sentence, sent as `{"error": ...}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// 4xx if the request is at fault, else 5xx.
    pub status: StatusCode,
    /// What is wrong, and what would be right.
    pub reason: String,
}

impl Refusal {
    /// The request cannot be understood, or asks for something that does not exist.
    pub fn bad(reason: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, reason: reason.into() }
    }

    /// The client did not send the server's token.
    pub fn unauthorised() -> Self {
        let reason = "this server requires a token: Authorization: Bearer TOKEN".into();
        Self { status: StatusCode::UNAUTHORIZED, reason }
    }

    /// There is no such model.
    pub fn unknown(name: &str) -> Self {
        Self {
            status: StatusCode::NOT_FOUND,
            reason: format!("there is no model {name:?}; /v2/repository/index lists all models"),
        }
    }

    /// The body, or a picture in it, is larger than the server accepts.
    pub fn too_large(reason: impl Into<String>) -> Self {
        Self { status: StatusCode::PAYLOAD_TOO_LARGE, reason: reason.into() }
    }

    /// The server has more to do than it accepts at a time.
    pub fn busy() -> Self {
        Self { status: StatusCode::SERVICE_UNAVAILABLE, reason: "the queue is full; try again in a second".into() }
    }

    /// The bodies of other requests take up all the memory for bodies.
    pub fn no_room() -> Self {
        let reason = "there is no memory for the body; try again in a second".into();
        Self { status: StatusCode::SERVICE_UNAVAILABLE, reason }
    }

    /// The server is shutting down.
    pub fn draining() -> Self {
        Self { status: StatusCode::SERVICE_UNAVAILABLE, reason: "the server is shutting down".into() }
    }

    /// The request's own timeout has passed.
    pub fn late() -> Self {
        Self { status: StatusCode::GATEWAY_TIMEOUT, reason: "the request's timeout has passed".into() }
    }

    /// The body did not arrive in time.
    pub fn slow() -> Self {
        Self { status: StatusCode::REQUEST_TIMEOUT, reason: "the body did not arrive in time".into() }
    }

    /// The server failed.
    pub fn failed(reason: impl Into<String>) -> Self {
        Self { status: StatusCode::INTERNAL_SERVER_ERROR, reason: reason.into() }
    }
}

impl From<PathRejection> for Refusal {
    fn from(rejection: PathRejection) -> Self {
        Self { status: rejection.status(), reason: rejection.body_text() }
    }
}

impl From<QueryRejection> for Refusal {
    fn from(rejection: QueryRejection) -> Self {
        Self { status: rejection.status(), reason: rejection.body_text() }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let busy = self.status == StatusCode::SERVICE_UNAVAILABLE;
        let mut response = (self.status, Json(json!({ "error": self.reason }))).into_response();
        if busy {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}
