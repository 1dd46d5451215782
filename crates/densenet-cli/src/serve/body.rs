//! Request bodies, limited in size and time.

use std::io::Read;

use axum::body::BodyDataStream;
use axum::extract::Request;
use axum::http::{HeaderMap, header};
use flate2::read::{GzDecoder, ZlibDecoder};
use futures_util::StreamExt;

use super::arriving::Arriving;
use super::error::Refusal;
use super::server::{Admitted, Server};

/// Reads the body of `request` once the server has admitted it, and decompresses it if it is gzip or deflate.
///
/// # Errors
/// Those of [`Server::admit`]; a body that is too large, for which there is no memory, that arrives too slowly or that
/// cannot be decompressed.
pub async fn read(server: &Server, request: Request) -> Result<(HeaderMap, Vec<u8>, Admitted), Refusal> {
    let (parts, body) = request.into_parts();
    let encoding = Encoding::of(&parts.headers)?;
    let mut body = Arriving::new(body.into_data_stream(), server.room.empty(), server.limits.body_timeout);
    let (mut admitted, bytes) = match whole(server, &parts.headers, &mut body).await {
        Ok(arrived) => arrived,
        Err(refusal) => {
            // A client reads the reason only after it has sent its body, so the body is received for a while, unless it
            // is slow.
            if refusal != Refusal::slow() {
                let (chunks, _) = body.into_parts();
                tokio::spawn(tokio::time::timeout(server.limits.body_timeout, discard(chunks)));
            }
            return Err(refusal);
        }
    };
    (_, admitted.body) = body.into_parts();
    let Some(encoding) = encoding else { return Ok((parts.headers, bytes, admitted)) };
    let most = server.limits.max_body;
    let unpacked = tokio::task::spawn_blocking(move || encoding.unpack(&bytes, most)).await;
    let bytes = unpacked.map_err(|_| Refusal::failed("the body could not be decompressed"))??;
    admitted.body.grow_to(bytes.len())?;
    Ok((parts.headers, bytes, admitted))
}

/// Receives the whole body.
async fn whole(
    server: &Server,
    headers: &HeaderMap,
    body: &mut Arriving<BodyDataStream>,
) -> Result<(Admitted, Vec<u8>), Refusal> {
    let admitted = server.admit()?;
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    server.room.check(announced.unwrap_or(0))?;
    let mut bytes = Vec::new();
    while let Some(chunk) = body.next().await? {
        let chunk = chunk.map_err(|error| Refusal::bad(format!("the body could not be read: {error}")))?;
        bytes.extend_from_slice(&chunk);
    }
    Ok((admitted, bytes))
}

/// The most bytes of a refused body that are read.
const DISCARDED: usize = 64 << 20;

async fn discard(mut chunks: BodyDataStream) {
    let mut left = DISCARDED;
    while let Some(Ok(bytes)) = chunks.next().await {
        left = left.saturating_sub(bytes.len());
        if left == 0 {
            break;
        }
    }
}

/// The compression of a body.
#[derive(Clone, Copy)]
enum Encoding {
    Gzip,
    Deflate,
}

impl Encoding {
    /// `None` if the body is not compressed.
    fn of(headers: &HeaderMap) -> Result<Option<Self>, Refusal> {
        match headers.get(header::CONTENT_ENCODING).map(|encoding| encoding.to_str().unwrap_or("?")) {
            None | Some("identity" | "") => Ok(None),
            Some("gzip") => Ok(Some(Self::Gzip)),
            Some("deflate") => Ok(Some(Self::Deflate)),
            Some(other) => Err(Refusal::bad(format!("Content-Encoding is {other:?}; it must be gzip or deflate"))),
        }
    }

    fn unpack(self, packed: &[u8], most: usize) -> Result<Vec<u8>, Refusal> {
        match self {
            Self::Gzip => unpack(GzDecoder::new(packed), most),
            Self::Deflate => unpack(ZlibDecoder::new(packed), most),
        }
    }
}

fn unpack(packed: impl Read, most: usize) -> Result<Vec<u8>, Refusal> {
    let mut bytes = Vec::new();
    let read = packed.take(most as u64 + 1).read_to_end(&mut bytes);
    read.map_err(|error| Refusal::bad(format!("the body could not be decompressed: {error}")))?;
    if bytes.len() > most {
        return Err(Refusal::too_large(format!("the body decompresses to more than {most} bytes (--max-body)")));
    }
    Ok(bytes)
}
