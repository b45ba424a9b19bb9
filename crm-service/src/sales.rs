//! The sales service: pipelines with their stages, opportunities that move through them, and the forecast.

mod forecast;
mod opportunity;
mod personal;
mod pipeline;
mod stage;
mod stage_move;

use axum::Router;
use axum::routing::{get, post};

use crate::http::Shared;
use crate::resource::{self, Operations, Resource};

pub use opportunity::Opportunity;
pub use personal::COLUMNS;
pub use pipeline::Pipeline;
pub use stage::Stage;

/// The routes of the service.
pub fn routes() -> Router<Shared> {
    Router::new()
        .merge(resource::routes::<Pipeline>())
        .merge(resource::routes::<Stage>())
        .merge(resource::routes::<Opportunity>())
        .route("/opportunities/{id}", post(stage_move::act))
        .route("/opportunities/{id}/stage-moves", get(stage_move::history))
        .route("/forecast", get(forecast::show))
}

/// The part of the OpenAPI document that describes the routes.
pub fn operations() -> Vec<Operations> {
    vec![
        resource::operations::<Pipeline>(),
        resource::operations::<Stage>(),
        resource::operations::<Opportunity>(),
        stage_move::operations(),
        forecast::operations(),
    ]
}

/// Every statement of the service.
pub fn statements() -> Vec<String> {
    let mut all = Pipeline::statements().inventory(&Pipeline::LISTING);
    all.extend(Stage::statements().inventory(&Stage::LISTING));
    all.extend(Opportunity::statements().inventory(&Opportunity::LISTING));
    all.extend(pipeline::STATEMENTS_BESIDE.map(str::to_owned));
    all.extend(stage_move::STATEMENTS.map(str::to_owned));
    all.extend(
        [
            stage::TOUCH_PIPELINE,
            opportunity::STAGE,
            forecast::STATEMENT,
        ]
        .map(str::to_owned),
    );
    all
}
