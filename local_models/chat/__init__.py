"""Chat: ChatModel 3 270M run by llama.cpp, its prompt and its parameters."""
