//! The Open Inference Protocol over gRPC, and gRPC's own health protocol.

use std::collections::HashMap;
use std::sync::Arc;

use axum::http::StatusCode;
use futures_util::stream;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use prost::Message;
use tonic::body::Body;
use tonic::{Request, Response, Status};

use self::protocol::grpc_inference_service_server::{GrpcInferenceService, GrpcInferenceServiceServer};
use self::protocol::infer_parameter::ParameterChoice;
use self::protocol::model_infer_request::InferInputTensor;
use self::protocol::model_infer_response::InferOutputTensor;
use self::protocol::model_metadata_response::TensorMetadata;
use self::protocol::repository_index_response::ModelIndex;
use self::protocol::*;
use super::arriving::Arriving;
use super::error::Refusal;
use super::infer::infer;
use super::metrics::{self, VERSION};
use super::served::Served;
use super::server::{Admitted, EXTENSIONS, NAME, Server};
use super::tensors::{self, Data, INPUT, Input, OutputName, OutputTensor, timeout};

/// Code generated from `proto/inference.proto`.
#[allow(missing_docs, clippy::all)]
mod protocol {
    tonic::include_proto!("inference");
}

/// A reply, or the reason why there is none.
type Reply<T> = Result<Response<T>, Status>;

impl From<Refusal> for Status {
    fn from(Refusal { status, reason }: Refusal) -> Self {
        match status {
            StatusCode::BAD_REQUEST => Self::invalid_argument(reason),
            StatusCode::UNAUTHORIZED => Self::unauthenticated(reason),
            StatusCode::NOT_FOUND => Self::not_found(reason),
            StatusCode::PAYLOAD_TOO_LARGE => Self::resource_exhausted(reason),
            StatusCode::REQUEST_TIMEOUT | StatusCode::GATEWAY_TIMEOUT => Self::deadline_exceeded(reason),
            StatusCode::SERVICE_UNAVAILABLE => Self::unavailable(reason),
            _ => Self::internal(reason),
        }
    }
}

/// The protocol's service, as tonic serves it.
pub type Service = GrpcInferenceServiceServer<Grpc>;

/// The protocol's service, for clients that send the server's token.
pub fn service(server: Arc<Server>) -> Service {
    let most = server.limits.max_body;
    Service::new(Grpc(server)).max_decoding_message_size(most)
}

/// A `body` that takes up memory as it arrives, and must arrive in time.
pub fn bounded(server: &Server, body: Body) -> Body {
    let arriving = Arriving::new(body.into_data_stream(), server.room.empty(), server.limits.body_timeout);
    let frames = stream::try_unfold(arriving, async |mut arriving| {
        let chunk = arriving.next().await?.transpose()?;
        Ok::<_, Status>(chunk.map(|chunk| (Frame::data(chunk), arriving)))
    });
    Body::new(StreamBody::new(frames))
}

/// The protocol's service.
pub struct Grpc(Arc<Server>);

impl Grpc {
    /// Rejects clients that do not send the token.
    fn check<T>(&self, request: Request<T>) -> Result<T, Status> {
        let header = request.metadata().get("authorization");
        let token = header.and_then(|header| header.as_encoded_bytes().strip_prefix(b"Bearer "));
        match self.0.knows(token) {
            true => Ok(request.into_inner()),
            false => Err(Refusal::unauthorised().into()),
        }
    }

    /// Admits a request of this many bytes.
    fn admit(&self, bytes: usize) -> Result<Admitted, Refusal> {
        let mut admitted = self.0.admit()?;
        admitted.body.grow_to(bytes)?;
        Ok(admitted)
    }

    fn model(&self, name: &str, version: &str) -> Result<Arc<Served>, Status> {
        Ok(self.0.model(name, Some(version))?)
    }
}

#[tonic::async_trait]
impl GrpcInferenceService for Grpc {
    async fn server_live(&self, _: Request<ServerLiveRequest>) -> Reply<ServerLiveResponse> {
        Ok(Response::new(ServerLiveResponse { live: true }))
    }

    async fn server_ready(&self, _: Request<ServerReadyRequest>) -> Reply<ServerReadyResponse> {
        Ok(Response::new(ServerReadyResponse { ready: self.0.is_ready() }))
    }

    async fn model_ready(&self, request: Request<ModelReadyRequest>) -> Reply<ModelReadyResponse> {
        let ModelReadyRequest { name, version } = self.check(request)?;
        self.model(&name, &version)?;
        Ok(Response::new(ModelReadyResponse { ready: self.0.is_ready() }))
    }

    async fn server_metadata(&self, request: Request<ServerMetadataRequest>) -> Reply<ServerMetadataResponse> {
        self.check(request)?;
        Ok(Response::new(ServerMetadataResponse {
            name: NAME.into(),
            version: env!("CARGO_PKG_VERSION").into(),
            extensions: EXTENSIONS.map(String::from).to_vec(),
        }))
    }

    async fn model_metadata(&self, request: Request<ModelMetadataRequest>) -> Reply<ModelMetadataResponse> {
        let ModelMetadataRequest { name, version } = self.check(request)?;
        let model = self.model(&name, &version)?;
        let tensor = |name: &str, extents: &[usize]| TensorMetadata {
            name: name.into(),
            datatype: "FP32".into(),
            shape: std::iter::once(-1).chain(extents.iter().map(|&extent| extent as i64)).collect(),
        };
        Ok(Response::new(ModelMetadataResponse {
            name,
            versions: vec![VERSION.into()],
            platform: NAME.into(),
            inputs: vec![tensor(INPUT, &model.input())],
            outputs: vec![tensor(OutputName::Logits.name(), &[model.labels().len()])],
        }))
    }

    async fn model_config(&self, request: Request<ModelConfigRequest>) -> Reply<ModelConfigResponse> {
        let ModelConfigRequest { name, version } = self.check(request)?;
        let model = self.model(&name, &version)?;
        let data_type = DataType::TypeFp32.into();
        let dims = |extents: &[usize]| extents.iter().map(|&extent| extent as i64).collect();
        let format = model_input::Format::Nchw.into();
        let output = OutputName::Logits.name().into();
        let config = ModelConfig {
            name,
            platform: NAME.into(),
            max_batch_size: i32::try_from(self.0.most_inputs(&model)).unwrap_or(i32::MAX),
            input: vec![ModelInput { name: INPUT.into(), data_type, format, dims: dims(&model.input()) }],
            output: vec![ModelOutput { name: output, data_type, dims: dims(&[model.labels().len()]) }],
            backend: NAME.into(),
        };
        Ok(Response::new(ModelConfigResponse { config: Some(config) }))
    }

    async fn model_statistics(&self, request: Request<ModelStatisticsRequest>) -> Reply<ModelStatisticsResponse> {
        let ModelStatisticsRequest { name, version } = self.check(request)?;
        let models = match name.is_empty() {
            true => self.0.models().into_values().collect(),
            false => vec![self.model(&name, &version)?],
        };
        let model_stats = models.iter().map(|model| statistics(model)).collect();
        Ok(Response::new(ModelStatisticsResponse { model_stats }))
    }

    async fn repository_index(&self, request: Request<RepositoryIndexRequest>) -> Reply<RepositoryIndexResponse> {
        self.check(request)?;
        let (version, state) = (VERSION.to_string(), "READY".to_string());
        let index = |name| ModelIndex { name, version: version.clone(), state: state.clone(), reason: String::new() };
        let models = self.0.models().into_keys().map(index).collect();
        Ok(Response::new(RepositoryIndexResponse { models }))
    }

    async fn model_infer(&self, request: Request<ModelInferRequest>) -> Reply<ModelInferResponse> {
        let request = self.check(request)?;
        let model = self.model(&request.model_name, &request.model_version)?;
        let _admitted = self.admit(request.encoded_len()).inspect_err(|refusal| model.metrics.failed(refusal))?;
        let (id, model_name) = (request.id.clone(), request.model_name.clone());
        let request = parse(request).inspect_err(|refusal| model.metrics.failed(refusal))?;
        let outputs = infer(&self.0, &model, request).await?;
        let raw_output_contents = outputs.iter().map(|output| output.values.bytes()).collect();
        let outputs = outputs.into_iter().map(described).collect();
        let (model_version, parameters) = (VERSION.into(), HashMap::new());
        Ok(Response::new(ModelInferResponse {
            model_name,
            model_version,
            id,
            parameters,
            outputs,
            raw_output_contents,
        }))
    }
}

fn statistics(model: &Served) -> ModelStatistics {
    let metrics::Statistics { success, failure, inputs, batches, request, queue, input, infer } =
        model.metrics.statistics();
    let of_success = |ns| Some(StatisticDuration { count: success, ns });
    ModelStatistics {
        name: model.name.clone(),
        version: VERSION.into(),
        inference_count: inputs,
        execution_count: batches,
        inference_stats: Some(InferStatistics {
            success: of_success(request),
            fail: Some(StatisticDuration { count: failure, ns: 0 }),
            queue: of_success(queue),
            compute_input: of_success(input),
            compute_infer: of_success(infer),
            compute_output: of_success(0),
        }),
    }
}

fn parse(request: ModelInferRequest) -> Result<tensors::Request, Refusal> {
    let ModelInferRequest { parameters, inputs, outputs, mut raw_input_contents, .. } = request;
    let [input] = <[InferInputTensor; 1]>::try_from(inputs)
        .map_err(|inputs| Refusal::bad(format!("{} inputs; there must be one, called {INPUT:?}", inputs.len())))?;
    let data = match (raw_input_contents.len(), input.contents) {
        (0, Some(contents)) => data_of(contents),
        (1, None) => Data::Raw(raw_input_contents.remove(0)),
        (0, None) => return Err(Refusal::bad("the input has neither contents nor raw_input_contents")),
        _ => return Err(Refusal::bad("the input has contents or one of raw_input_contents, not both")),
    };
    let input = Input::new(&input.name, &input.datatype, &input.shape, data)?;
    let timeout = timeout(whole_number(&parameters, "timeout"));
    let wanted = |output: model_infer_request::InferRequestedOutputTensor| {
        let classification = whole_number(&output.parameters, "classification").map(|top| top as usize);
        OutputName::wanted(&output.name, classification, true)
    };
    OutputName::check_count(outputs.len())?;
    let outputs = match outputs.is_empty() {
        true => vec![OutputName::wanted(OutputName::Logits.name(), None, true)?],
        false => outputs.into_iter().map(wanted).collect::<Result<_, _>>()?,
    };
    Ok(tensors::Request { input, outputs, timeout })
}

fn data_of(contents: InferTensorContents) -> Data {
    let InferTensorContents { uint_contents, fp32_contents, bytes_contents, .. } = contents;
    match bytes_contents.is_empty() {
        false => Data::Elements(bytes_contents),
        true if !uint_contents.is_empty() => {
            Data::Numbers(uint_contents.into_iter().map(|number| number as f32).collect())
        }
        true => Data::Numbers(fp32_contents),
    }
}

/// A parameter that is a non-negative integer.
fn whole_number(parameters: &HashMap<String, InferParameter>, name: &str) -> Option<u64> {
    match parameters.get(name)?.parameter_choice.as_ref()? {
        ParameterChoice::Int64Param(number) => u64::try_from(*number).ok(),
        ParameterChoice::Uint64Param(number) => Some(*number),
        _ => None,
    }
}

fn described(output: OutputTensor) -> InferOutputTensor {
    InferOutputTensor {
        name: output.wanted.name.name().into(),
        datatype: output.values.datatype().into(),
        shape: output.shape.iter().map(|&extent| extent as i64).collect(),
        parameters: HashMap::new(),
        contents: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    use crate::serve::damage;
    use crate::serve::metrics::Metrics;
    use crate::serve::server::{Limits, Models};

    fn sound() -> ModelInferRequest {
        let (name, datatype, shape) = (INPUT.into(), "FP32".into(), vec![1, 1, 1, 2]);
        let tensor = InferInputTensor { name, datatype, shape, ..Default::default() };
        let timeout = InferParameter { parameter_choice: Some(ParameterChoice::Int64Param(7)) };
        ModelInferRequest {
            model_name: "densenet".into(),
            inputs: vec![tensor],
            raw_input_contents: vec![vec![0; 8]],
            parameters: HashMap::from([("timeout".into(), timeout)]),
            ..Default::default()
        }
    }

    #[test]
    fn random_damage_never_panics() {
        let raw = sound();
        assert_eq!(parse(raw.clone()).unwrap().timeout, Some(Duration::from_micros(7)));
        let mut of_contents = raw.clone();
        of_contents.raw_input_contents.clear();
        of_contents.inputs[0].contents =
            Some(InferTensorContents { fp32_contents: vec![1.0, 2.0], ..Default::default() });
        assert!(parse(of_contents.clone()).is_ok());
        let (mut read, mut refused) = (0, 0);
        for sound in [raw, of_contents] {
            for damaged in damage::copies(&sound.encode_to_vec()) {
                let Ok(request) = ModelInferRequest::decode(&damaged[..]) else { continue };
                if parse(request).is_ok() { read += 1 } else { refused += 1 }
            }
        }
        assert!(read > 0 && refused > 0, "{read} are read, {refused} refused");
    }

    /// A server without models, whose bodies may have 8 KiB each and 10 KiB together.
    fn server() -> Server {
        let limits =
            Limits { max_body: 8 << 10, max_bodies: 10 << 10, max_pixels: 1, body_timeout: Duration::from_millis(50) };
        Server::new(Models::new(), Metrics::new().unwrap(), limits, 1, None)
    }

    /// The status code for a body of `chunks` chunks of a KiB.
    async fn ended(server: &Server, chunks: usize) -> tonic::Code {
        let chunks = (0..chunks).map(|_| Ok::<_, Status>(Frame::data(vec![0; 1 << 10].into())));
        let body = bounded(server, Body::new(StreamBody::new(stream::iter(chunks))));
        body.collect().await.map_or_else(|status| status.code(), |_| tonic::Code::Ok)
    }

    #[tokio::test]
    async fn bodies_have_room_and_time() {
        let server = server();
        assert_eq!(ended(&server, 8).await, tonic::Code::Ok);
        assert_eq!(ended(&server, 9).await, tonic::Code::ResourceExhausted);
        let mut other = server.room.empty();
        other.grow_to(8 << 10).unwrap();
        assert_eq!(ended(&server, 3).await, tonic::Code::Unavailable);
        let slow = bounded(&server, Body::new(StreamBody::new(stream::pending::<Result<Frame<_>, Status>>())));
        assert_eq!(slow.collect().await.unwrap_err().code(), tonic::Code::DeadlineExceeded);
    }
}
