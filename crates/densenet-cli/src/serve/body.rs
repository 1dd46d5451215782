//! Bodies of requests, of bounded size and in bounded time.

use std::io::Read;

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, header};
use flate2::read::{GzDecoder, ZlibDecoder};
use futures_util::StreamExt;

use super::error::Refusal;
use super::server::{Admitted, Server};

/// Reads the body of `request` once the server has taken it on, and unpacks it where it is gzip or deflate.
///
/// # Errors
/// Those of [`Server::admit`], a body that is too large, comes too slowly or cannot be unpacked.
pub async fn read(server: &Server, request: Request) -> Result<(HeaderMap, Vec<u8>, Admitted), Refusal> {
    let (parts, body) = request.into_parts();
    let length = parts.headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    let admitted = match server.admit(length.unwrap_or(server.limits.max_body)) {
        Ok(admitted) => admitted,
        Err(refusal) => {
            // A client reads why only once it has sent its body, so that goes on arriving for a while.
            tokio::spawn(tokio::time::timeout(server.limits.body_timeout, discard(body)));
            return Err(refusal);
        }
    };
    let bytes = whole(server, body).await?;
    let encoding = parts.headers.get(header::CONTENT_ENCODING).and_then(|encoding| encoding.to_str().ok());
    let bytes = match encoding {
        None | Some("identity" | "") => bytes,
        Some("gzip") => unpack(GzDecoder::new(&bytes[..]), server.limits.max_body)?,
        Some("deflate") => unpack(ZlibDecoder::new(&bytes[..]), server.limits.max_body)?,
        Some(other) => return Err(Refusal::bad(format!("Content-Encoding is {other:?}; it is gzip or deflate"))),
    };
    Ok((parts.headers, bytes, admitted))
}

/// Bytes of a refused body that are read, at most.
const DISCARDED: usize = 64 << 20;

async fn discard(body: Body) {
    let (mut left, mut data) = (DISCARDED, body.into_data_stream());
    while let Some(Ok(bytes)) = data.next().await {
        left = left.saturating_sub(bytes.len());
        if left == 0 {
            break;
        }
    }
}

async fn whole(server: &Server, body: Body) -> Result<Vec<u8>, Refusal> {
    let most = server.limits.max_body;
    let bytes = tokio::time::timeout(server.limits.body_timeout, to_bytes(body, most)).await;
    match bytes.map_err(|_| Refusal::slow())? {
        Ok(bytes) => Ok(bytes.into()),
        Err(error) => {
            let source = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
            match source.contains("length limit") {
                true => Err(Refusal::too_large(format!("the body has more than {most} bytes (--max-body)"))),
                false => Err(Refusal::bad(format!("the body could not be read: {error}"))),
            }
        }
    }
}

fn unpack(packed: impl Read, most: usize) -> Result<Vec<u8>, Refusal> {
    let mut bytes = Vec::new();
    let read = packed.take(most as u64 + 1).read_to_end(&mut bytes);
    read.map_err(|error| Refusal::bad(format!("the body could not be unpacked: {error}")))?;
    if bytes.len() > most {
        return Err(Refusal::too_large(format!("the body unpacks to more than {most} bytes (--max-body)")));
    }
    Ok(bytes)
}
