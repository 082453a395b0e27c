"""What leaves the app: figures as files, tables, reports and bundles. Free of torch and of streamlit."""
