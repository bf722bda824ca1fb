//! One request to a measured service.

use std::convert::Infallible;

use axum::body::Body;
use axum::response::Response;
use http::{Request, StatusCode};
use tower::{Service, ServiceExt};

pub(crate) async fn request<S>(service: &S, path: &str) -> anyhow::Result<()>
where
    S: Service<Request<Body>, Response = Response, Error = Infallible> + Clone,
{
    let request = Request::builder().uri(format!("/{path}")).body(Body::empty())?;
    let response = service.clone().oneshot(request).await?;
    let expected = if path == "error" { StatusCode::NOT_FOUND } else { StatusCode::OK };
    anyhow::ensure!(response.status() == expected, "/{path} answered {}", response.status());
    axum::body::to_bytes(response.into_body(), usize::MAX).await?;
    Ok(())
}
