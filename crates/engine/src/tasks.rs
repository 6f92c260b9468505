use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The engine's tasks: the only place that spawns, so that nothing is left running unnoticed. Each group is waited for in
/// its turn when the engine drains.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tasks {
    /// Claims jobs and starts attempts.
    pub(crate) dispatching: TaskTracker,
    /// Attempts and their handlers.
    pub(crate) attempts: TaskTracker,
    /// Passes on what happens.
    pub(crate) passing_on: TaskTracker,
    /// Tells webhooks.
    pub(crate) delivering: TaskTracker,
    loops: TaskTracker,
    stopped: CancellationToken,
}

impl Tasks {
    /// Spawns a loop that ends when the engine stops, wherever it is.
    pub(crate) fn spawn_loop<F>(&self, task: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let stopped = self.stopped.clone();
        drop(self.loops.spawn(async move { stopped.run_until_cancelled(task).await }));
    }

    /// Ends the loops.
    pub(crate) async fn stop_loops(&self) {
        self.stopped.cancel();
        ended(&self.loops).await;
    }
}

/// Waits until all tasks of a group have ended.
pub(crate) async fn ended(group: &TaskTracker) {
    group.close();
    group.wait().await;
}
