use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The engine's tasks: the only place that spawns, so that nothing is left running unnoticed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tasks {
    tracker: TaskTracker,
    /// Tells the engine's own loops to end.
    pub(crate) stopped: CancellationToken,
}

impl Tasks {
    pub(crate) fn spawn<F>(&self, task: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        self.tracker.spawn(task)
    }

    /// Spawns a loop that ends when the engine stops, wherever it is.
    pub(crate) fn spawn_loop<F>(&self, task: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let stopped = self.stopped.clone();
        drop(self.tracker.spawn(async move { stopped.run_until_cancelled(task).await }));
    }

    /// Ends the loops and waits for everything that was spawned.
    pub(crate) async fn stop(&self) {
        self.stopped.cancel();
        self.tracker.close();
        self.tracker.wait().await;
    }
}
