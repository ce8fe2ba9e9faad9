"""One typed async interface to every LLM, and a manager that keeps answering when providers fail."""
