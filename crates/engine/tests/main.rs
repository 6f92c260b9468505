//! The engine on the model of a store: how attempts go, and a simulation of whole fleets under faults.

mod attempts;
mod conversations;
mod follow_ups;
mod followers;
mod simulation;
mod support;
mod webhooks;
