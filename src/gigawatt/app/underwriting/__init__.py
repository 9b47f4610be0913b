"""An underwriting as files: term sheet in HTML and PDF, tables in CSV and XLSX."""
