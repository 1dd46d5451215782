//! Bodies of requests, of bounded size.

use axum::body::Body;
use http_body_util::BodyExt;
use tokio::sync::OwnedSemaphorePermit;

use super::refusal::Refusal;
use super::server::Server;

/// A body, and the memory that is reserved for it until it is dropped.
pub struct Whole {
    /// What the client sent.
    pub bytes: Vec<u8>,
    _memory: Option<OwnedSemaphorePermit>,
}

impl Whole {
    /// Reads a `body` to its end.
    ///
    /// # Errors
    /// More bytes than are taken, a client that is too slow, or one that breaks off.
    pub async fn read(server: &Server, mut body: Body) -> Result<Self, Refusal> {
        let most = server.limits.body;
        let (mut bytes, mut memory) = (Vec::new(), None::<OwnedSemaphorePermit>);
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| Refusal::Invalid(format!("the body of the request: {error}")))?;
            let Ok(data) = frame.into_data() else { continue };
            if bytes.len() + data.len() > most {
                return Err(Refusal::TooLarge(format!("the body of the request: more than {most} bytes")));
            }
            let more = server.reserve(data.len())?;
            match &mut memory {
                Some(memory) => memory.merge(more),
                None => memory = Some(more),
            }
            bytes.extend_from_slice(&data);
        }
        Ok(Self { bytes, _memory: memory })
    }
}
