"""What reports say, before anything is weighed: failures and their causes, whether they are over, and the policy's history."""
