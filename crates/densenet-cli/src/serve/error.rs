//! Errors that a client is told.

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// Why a request is not served: a status code and a sentence, sent as `{"error": ...}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// 4xx where the request is at fault, else 5xx.
    pub status: StatusCode,
    /// What is wrong and what would be right.
    pub reason: String,
}

impl Refusal {
    /// The request cannot be understood, or asks for what there is not.
    pub fn bad(reason: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, reason: reason.into() }
    }

    /// The client does not know the server's token.
    pub fn unauthorised() -> Self {
        let reason = "this server takes a token: Authorization: Bearer TOKEN".into();
        Self { status: StatusCode::UNAUTHORIZED, reason }
    }

    /// There is no such model.
    pub fn unknown(name: &str) -> Self {
        Self {
            status: StatusCode::NOT_FOUND,
            reason: format!("there is no model {name:?}; /v2/repository/index lists all"),
        }
    }

    /// The body, or a picture in it, is larger than the server takes.
    pub fn too_large(reason: impl Into<String>) -> Self {
        Self { status: StatusCode::PAYLOAD_TOO_LARGE, reason: reason.into() }
    }

    /// There is more to do than the server takes on at a time.
    pub fn busy() -> Self {
        Self { status: StatusCode::SERVICE_UNAVAILABLE, reason: "the queue is full; try again in a second".into() }
    }

    /// The bodies of other requests take all the memory that there is for them.
    pub fn no_room() -> Self {
        let reason = "there is no room for the body; try again in a second".into();
        Self { status: StatusCode::SERVICE_UNAVAILABLE, reason }
    }

    /// The server is about to end.
    pub fn draining() -> Self {
        Self { status: StatusCode::SERVICE_UNAVAILABLE, reason: "the server is shutting down".into() }
    }

    /// The request's own time is over.
    pub fn late() -> Self {
        Self { status: StatusCode::GATEWAY_TIMEOUT, reason: "the request's timeout is over".into() }
    }

    /// The body did not come in time.
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
