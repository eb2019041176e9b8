"""torch.optim.lr_scheduler: schedules of the step that know how torch gets from each learning rate to the next."""
