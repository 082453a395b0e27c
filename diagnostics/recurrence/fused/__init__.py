"""The loops over time, compiled for the processor: CPU, float32."""
